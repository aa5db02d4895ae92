/** FIONREAD and FIONBIO, as wasi-libc numbers them; anything else is ENOTTY. */
#ifndef SKERRY_SYS_IOCTL_H
#define SKERRY_SYS_IOCTL_H

#include_next <sys/ioctl.h>

#define SIOCINQ FIONREAD
#define TIOCGWINSZ 3
struct winsize {
  unsigned short ws_row, ws_col, ws_xpixel, ws_ypixel;
};

#endif
