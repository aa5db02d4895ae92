import { Errno } from "../errno";

/** Why a guest's call failed: `errno` of WASI preview 1, which a C program for WASI also has. */
export const enum WasiErrno {
  Success = 0,
  Acces = 2,
  Addrinuse = 3,
  Addrnotavail = 4,
  Afnosupport = 5,
  Again = 6,
  Already = 7,
  Badf = 8,
  Badmsg = 9,
  Busy = 10,
  Connaborted = 13,
  Connrefused = 14,
  Connreset = 15,
  Destaddrreq = 17,
  Dom = 18,
  Exist = 20,
  Fault = 21,
  Fbig = 22,
  Hostunreach = 23,
  Inprogress = 26,
  Intr = 27,
  Inval = 28,
  Io = 29,
  Isconn = 30,
  Isdir = 31,
  Loop = 32,
  Mfile = 33,
  Msgsize = 35,
  Nametoolong = 37,
  Netdown = 38,
  Netunreach = 40,
  Nfile = 41,
  Nobufs = 42,
  Nodev = 43,
  Noent = 44,
  Nomem = 48,
  Noprotoopt = 50,
  Nospc = 51,
  Nosys = 52,
  Notconn = 53,
  Notdir = 54,
  Notempty = 55,
  Notsock = 57,
  Notsup = 58,
  Overflow = 61,
  Perm = 63,
  Pipe = 64,
  Protonosupport = 66,
  Rofs = 69,
  Spipe = 70,
  Timedout = 73,
  Xdev = 75,
  Notcapable = 76,
  // WasmEdge's, of `sock_getaddrinfo`: EAI_… of RFC 3493, 6.1.
  AiAgain = 78,
  AiBadflag = 79,
  AiFamily = 81,
  AiMemory = 82,
  AiNodata = 83,
  AiNoname = 84,
  AiService = 85,
  AiSocktype = 86,
}

/** What the kernel's `errno`, positive, is to a guest. */
export function wasiErrno(errno: i32): WasiErrno {
  switch (errno) {
    case Errno.Ok:
      return WasiErrno.Success;
    case Errno.EPERM:
      return WasiErrno.Perm;
    case Errno.ENOENT:
      return WasiErrno.Noent;
    case Errno.EINTR:
      return WasiErrno.Intr;
    case Errno.EBADF:
      return WasiErrno.Badf;
    case Errno.EAGAIN:
      return WasiErrno.Again;
    case Errno.ENOMEM:
      return WasiErrno.Nomem;
    case Errno.EACCES:
      return WasiErrno.Acces;
    case Errno.EFAULT:
      return WasiErrno.Fault;
    case Errno.EINVAL:
      return WasiErrno.Inval;
    case Errno.EMFILE:
      return WasiErrno.Mfile;
    case Errno.EPIPE:
      return WasiErrno.Pipe;
    case Errno.ENOSYS:
      return WasiErrno.Nosys;
    case Errno.EBADMSG:
      return WasiErrno.Badmsg;
    case Errno.EDESTADDRREQ:
      return WasiErrno.Destaddrreq;
    case Errno.EMSGSIZE:
      return WasiErrno.Msgsize;
    case Errno.ENOPROTOOPT:
      return WasiErrno.Noprotoopt;
    case Errno.EPROTONOSUPPORT:
      return WasiErrno.Protonosupport;
    case Errno.EOPNOTSUPP:
      return WasiErrno.Notsup;
    case Errno.EAFNOSUPPORT:
      return WasiErrno.Afnosupport;
    case Errno.EADDRINUSE:
      return WasiErrno.Addrinuse;
    case Errno.EADDRNOTAVAIL:
      return WasiErrno.Addrnotavail;
    case Errno.ENETDOWN:
      return WasiErrno.Netdown;
    case Errno.ENETUNREACH:
      return WasiErrno.Netunreach;
    case Errno.ECONNABORTED:
      return WasiErrno.Connaborted;
    case Errno.ECONNRESET:
      return WasiErrno.Connreset;
    case Errno.ENODEV:
      return WasiErrno.Nodev;
    case Errno.ENOBUFS:
      return WasiErrno.Nobufs;
    case Errno.EISCONN:
      return WasiErrno.Isconn;
    case Errno.ENOTCONN:
      return WasiErrno.Notconn;
    case Errno.ETIMEDOUT:
      return WasiErrno.Timedout;
    case Errno.ECONNREFUSED:
      return WasiErrno.Connrefused;
    case Errno.EHOSTUNREACH:
      return WasiErrno.Hostunreach;
    case Errno.EALREADY:
      return WasiErrno.Already;
    case Errno.EINPROGRESS:
      return WasiErrno.Inprogress;
    default:
      return WasiErrno.Io;
  }
}
