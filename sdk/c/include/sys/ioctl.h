/** FIONREAD and FIONBIO, as wasi-libc numbers them, and what tells of interfaces; anything else is ENOTTY. */
#ifndef SKERRY_SYS_IOCTL_H
#define SKERRY_SYS_IOCTL_H

#include_next <sys/ioctl.h>

#define SIOCINQ FIONREAD

/** Of any socket, with a struct ifreq or ifconf of <net/if.h>. */
#define SIOCGIFNAME 0x8910
#define SIOCGIFCONF 0x8912
#define SIOCGIFFLAGS 0x8913
#define SIOCGIFADDR 0x8915
#define SIOCGIFBRDADDR 0x8919
#define SIOCGIFNETMASK 0x891b
#define SIOCGIFMTU 0x8921
#define SIOCGIFHWADDR 0x8927
#define SIOCGIFINDEX 0x8933

#define TIOCGWINSZ 3
struct winsize {
  unsigned short ws_row, ws_col, ws_xpixel, ws_ypixel;
};

#endif
