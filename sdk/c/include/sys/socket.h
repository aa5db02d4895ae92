/** wasi-libc's header declares what WASI has; the rest of Berkeley's calls are in sdk/c/socket.c and its neighbours. */
#ifndef SKERRY_SYS_SOCKET_H
#define SKERRY_SYS_SOCKET_H

#include_next <sys/socket.h>

#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#undef SHUT_RD
#undef SHUT_WR
#undef SHUT_RDWR
#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2

#define SOCK_RAW 3
#define SOCK_RDM 4
/* 5 and 6 are datagrams and streams here. */
#define SOCK_SEQPACKET 7

#define PF_UNSPEC AF_UNSPEC
#define PF_INET AF_INET
#define PF_INET6 AF_INET6
#define PF_UNIX AF_UNIX
#define PF_LOCAL AF_UNIX
#define AF_LOCAL AF_UNIX

/* Linux's numbers from here on. */
#undef SOL_SOCKET
#define SOL_SOCKET 1
#define SOL_IP 0
#define SOL_IPV6 41
#define SOL_ICMPV6 58
#define SOL_RAW 255

#define SO_DEBUG 1
#define SO_REUSEADDR 2
/* SO_TYPE is 3 in wasi-libc, too. */
#define SO_ERROR 4
#define SO_DONTROUTE 5
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_OOBINLINE 10
#define SO_PRIORITY 12
#define SO_LINGER 13
#define SO_REUSEPORT 15
#define SO_MARK 36
#define SO_RCVLOWAT 18
#define SO_SNDLOWAT 19
#define SO_RCVTIMEO 20
#define SO_SNDTIMEO 21
#define SO_BINDTODEVICE 25
#define SO_TIMESTAMP 29
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL 38
#define SO_DOMAIN 39
#define SO_MAX_PACING_RATE 47

#undef MSG_PEEK
#undef MSG_WAITALL
#undef MSG_TRUNC
#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_DONTROUTE 0x4
#define MSG_CTRUNC 0x8
#define MSG_TRUNC 0x20
#define MSG_DONTWAIT 0x40
#define MSG_EOR 0x80
#define MSG_WAITALL 0x100
#define MSG_NOSIGNAL 0x4000
#define MSG_MORE 0x8000
#define MSG_WAITFORONE 0x10000
#define MSG_FASTOPEN 0x20000000
#define MSG_CMSG_CLOEXEC 0x40000000

#ifndef SOMAXCONN
#define SOMAXCONN 128
#endif

/** Messages beside a message: none ever come, and to send one fails with EINVAL. */
struct cmsghdr {
  socklen_t cmsg_len;
  int cmsg_level;
  int cmsg_type;
};
#define SCM_RIGHTS 1
#define CMSG_ALIGN(length) (((length) + sizeof(size_t) - 1) & ~(sizeof(size_t) - 1))
#define CMSG_SPACE(length) (CMSG_ALIGN(length) + CMSG_ALIGN(sizeof(struct cmsghdr)))
#define CMSG_LEN(length) (CMSG_ALIGN(sizeof(struct cmsghdr)) + (length))
#define CMSG_DATA(message) ((unsigned char *)(message) + CMSG_ALIGN(sizeof(struct cmsghdr)))
#define CMSG_FIRSTHDR(header) \
  ((size_t)(header)->msg_controllen >= sizeof(struct cmsghdr) ? (struct cmsghdr *)(header)->msg_control \
                                                              : (struct cmsghdr *)0)
static inline struct cmsghdr *__skerry_next(const struct msghdr *header, struct cmsghdr *message) {
  const uintptr_t end = (uintptr_t)header->msg_control + header->msg_controllen;
  const uintptr_t next = (uintptr_t)message + CMSG_ALIGN(message->cmsg_len);
  if (message->cmsg_len < sizeof *message || next + sizeof *message > end) return 0;
  return (struct cmsghdr *)next;
}
#define CMSG_NXTHDR(header, message) __skerry_next(header, message)

int socket(int domain, int type, int protocol);
int socketpair(int domain, int type, int protocol, int pair[2]);
int bind(int fd, const struct sockaddr *address, socklen_t length);
int listen(int fd, int backlog);
int connect(int fd, const struct sockaddr *address, socklen_t length);
int getsockname(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length);
int getpeername(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length);
ssize_t sendto(int fd, const void *from, size_t length, int flags, const struct sockaddr *to, socklen_t to_length);
ssize_t recvfrom(int fd, void *__restrict into, size_t length, int flags, struct sockaddr *__restrict from,
                 socklen_t *__restrict from_length);
ssize_t sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t recvmsg(int fd, struct msghdr *message, int flags);
int setsockopt(int fd, int level, int name, const void *value, socklen_t length);
/** Never at the mark: TCP's urgent data are not told apart. */
int sockatmark(int fd);

#ifdef __cplusplus
}
#endif

#endif
