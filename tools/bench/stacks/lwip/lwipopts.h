// lwIP tuned for speed: its own pools in place of malloc, its fastest checksum, no assertions, no
// statistics, and windows and queues that never hold a bulk transfer up.
#pragma once

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0
#define LWIP_NOASSERT 1
#define LWIP_IPV6 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define IP_FRAG 0
#define IP_REASSEMBLY 0

#define MEM_ALIGNMENT 8
#define MEM_SIZE (32 << 20)
#define MEMP_NUM_PBUF 8192
#define MEMP_NUM_TCP_PCB 1024
#define MEMP_NUM_TCP_SEG 8192
#define PBUF_POOL_SIZE 4096
#define PBUF_POOL_BUFSIZE 1536
#define ETH_PAD_SIZE 2

#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 4
#define TCP_WND (256 << 10)
#define TCP_SND_BUF (256 << 10)
#define TCP_SND_QUEUELEN 2048
#define TCP_SNDLOWAT (32 << 10)
#define TCP_MSL 1

#define LWIP_CHKSUM_ALGORITHM 3
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
