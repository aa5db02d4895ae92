/** Kinds of hardware addresses, of SIOCGIFHWADDR. */
#ifndef SKERRY_NET_IF_ARP_H
#define SKERRY_NET_IF_ARP_H

#define ARPHRD_ETHER 1
#define ARPHRD_LOOPBACK 772

#endif
