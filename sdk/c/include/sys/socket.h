/** wasi-libc's header declares what WASI has; the rest of Berkeley's calls are in sdk/c/socket.c. */
#ifndef SKERRY_SYS_SOCKET_H
#define SKERRY_SYS_SOCKET_H

#include_next <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#undef SOL_SOCKET
#define SOL_SOCKET 1
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0x4000
#endif
#ifndef SOMAXCONN
#define SOMAXCONN 128
#endif

/* Linux's numbers; wasi-libc has SO_TYPE, as 3, which is Linux's, too. */
#define SO_REUSEADDR 2
#define SO_ERROR 4
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_RCVLOWAT 18
#define SO_ACCEPTCONN 30

int socket(int domain, int type, int protocol);
int bind(int fd, const struct sockaddr *address, socklen_t length);
int listen(int fd, int backlog);
int connect(int fd, const struct sockaddr *address, socklen_t length);
int getsockname(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length);
int getpeername(int fd, struct sockaddr *__restrict address, socklen_t *__restrict length);
ssize_t sendto(int fd, const void *from, size_t length, int flags, const struct sockaddr *to, socklen_t to_length);
ssize_t recvfrom(int fd, void *__restrict into, size_t length, int flags, struct sockaddr *__restrict from,
                 socklen_t *__restrict from_length);
int setsockopt(int fd, int level, int name, const void *value, socklen_t length);

#ifdef __cplusplus
}
#endif

#endif
