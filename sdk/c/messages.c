// <sys/socket.h>: what carries bytes and datagrams.

#include "internal.h"

#include <stdbool.h>

int skerry_receive_flags(int flags) {
  if (flags & ~(MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC | MSG_WAITFORONE))
    return -1;
  return (flags & MSG_PEEK ? SKERRY_PEEK : 0) | (flags & (MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL));
}

ssize_t send(int fd, const void *from, size_t length, int flags) {
  return result(skerry_send(fd, from, length, flags & ~MSG_EOR));
}

ssize_t recv(int fd, void *into, size_t length, int flags) {
  const int asked = skerry_receive_flags(flags);
  return result(asked < 0 ? -EOPNOTSUPP : skerry_receive(fd, into, length, asked));
}

ssize_t sendto(int fd, const void *from, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
  if (!to) return send(fd, from, length, flags);
  struct iovec buffer = {(void *)from, length};
  const struct msghdr message = {(void *)to, to_length, &buffer, 1, NULL, 0, 0};
  return sendmsg(fd, &message, flags);
}

ssize_t recvfrom(int fd, void *__restrict into, size_t length, int flags, struct sockaddr *__restrict from,
                 socklen_t *__restrict from_length) {
  if (!from) return recv(fd, into, length, flags);
  if (!from_length) return result(-EFAULT);
  struct iovec buffer = {into, length};
  struct msghdr message = {from, *from_length, &buffer, 1, NULL, 0, 0};
  const ssize_t received = recvmsg(fd, &message, flags);
  if (received >= 0) *from_length = message.msg_namelen;
  return received;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  struct skerry_address address;
  if (!message) return result(-EFAULT);
  if (message->msg_controllen) return result(-EINVAL);
  struct skerry_message out = {message->msg_iov, (size_t)message->msg_iovlen, NULL, 0};
  if (message->msg_name && message->msg_namelen) {
    const int error = skerry_address_in(&address, message->msg_name, message->msg_namelen);
    if (error) return result(-error);
    out.address = &address;
  }
  return result(skerry_send_message(fd, &out, flags & ~MSG_EOR));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  struct skerry_address address = {0};
  if (!message) return result(-EFAULT);
  const int asked = skerry_receive_flags(flags);
  if (asked < 0) return result(-EOPNOTSUPP);
  struct skerry_message in = {message->msg_iov, (size_t)message->msg_iovlen, &address, 0};
  const int received = skerry_receive_message(fd, &in, asked);
  if (received < 0) return result(received);
  // A stream's bytes come without a name.
  const int nameless = address.domain == SKERRY_LOCAL || skerry_get_option(fd, SKERRY_TYPE) == SKERRY_STREAM;
  if (message->msg_name && nameless) message->msg_namelen = 0;
  else if (message->msg_name) skerry_address_out(&address, message->msg_name, &message->msg_namelen);
  message->msg_controllen = 0;
  message->msg_flags = in.flags & SKERRY_TRUNCATE ? MSG_TRUNC : 0;
  return received;
}

// How many of the messages went; the error of the first only.
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, unsigned flags) {
  unsigned sent = 0;
  for (; sent < count; sent++) {
    const ssize_t length = sendmsg(fd, &messages[sent].msg_hdr, (int)flags);
    if (length < 0) return sent ? (int)sent : -1;
    messages[sent].msg_len = (unsigned)length;
  }
  return (int)sent;
}

// The time-out is looked at when a message has come, as Linux does.
int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, unsigned flags, struct timespec *timeout) {
  struct timespec now, end = {0, 0};
  if (timeout) {
    if (nanoseconds(timeout) < 0) return result(-EINVAL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += timeout->tv_sec;
    end.tv_nsec += timeout->tv_nsec;
  }
  unsigned received = 0;
  while (received < count) {
    const bool once = flags & MSG_WAITFORONE && received;
    const ssize_t length = recvmsg(fd, &messages[received].msg_hdr, (int)flags | (once ? MSG_DONTWAIT : 0));
    if (length < 0) return received ? (int)received : -1;
    messages[received++].msg_len = (unsigned)length;
    if (!timeout) continue;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((now.tv_sec - end.tv_sec) * 1000000000ll + now.tv_nsec - end.tv_nsec >= 0) break;
  }
  return (int)received;
}
