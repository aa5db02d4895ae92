/**
 * How calls fail. AssemblyScript cannot catch, so nothing here throws for what the world does: a call that makes
 * something returns a `Result`, one that moves bytes a number below 0, which is a negated `Errno`.
 *
 *     const listener = TcpListener.bind(80);
 *     if (listener.failed) return console.log(listener.error!.message);
 *     const stream = listener.value.accept().value;   // or end the program with the message
 */

/** Why a call failed: `errno` of WASI preview 1. */
export const enum Errno {
  Access = 2,
  AddressInUse = 3,
  AddressNotAvailable = 4,
  Again = 6,
  BadDescriptor = 8,
  ConnectionAborted = 13,
  ConnectionRefused = 14,
  ConnectionReset = 15,
  Exists = 20,
  HostUnreachable = 23,
  InProgress = 26,
  Invalid = 28,
  IsDirectory = 31,
  TooManyFiles = 33,
  MessageTooLong = 35,
  NetworkDown = 38,
  NetworkUnreachable = 40,
  NoBuffers = 42,
  NoDevice = 43,
  NotFound = 44,
  NoMemory = 48,
  NoSpace = 51,
  NotConnected = 53,
  NotDirectory = 54,
  NotEmpty = 55,
  NotSupported = 58,
  NotPermitted = 63,
  Pipe = 64,
  ReadOnly = 69,
  TimedOut = 73,
  NotCapable = 76,
}

/** What an `Errno` means, and what to do about it. */
export function errorText(errno: i32): string {
  switch (errno) {
    case Errno.Access:
      return "not allowed: the console says which line skerry.toml lacks";
    case Errno.AddressInUse:
      return "the port is taken: by another socket of this image";
    case Errno.AddressNotAvailable:
      return "the machine has no such address";
    case Errno.Again:
      return "nothing yet: wait for it with a Loop";
    case Errno.BadDescriptor:
      return "it is closed";
    case Errno.ConnectionAborted:
      return "the connection was given up before it was taken";
    case Errno.ConnectionRefused:
      return "refused: nothing listens there";
    case Errno.ConnectionReset:
      return "the peer has broken the connection off";
    case Errno.Exists:
      return "it is there already";
    case Errno.HostUnreachable:
      return "the host does not answer";
    case Errno.Invalid:
      return "an argument makes no sense";
    case Errno.IsDirectory:
      return "it is a directory";
    case Errno.TooManyFiles:
      return "too many are open: close some, or raise descriptors in skerry.toml";
    case Errno.MessageTooLong:
      return "too long for a datagram";
    case Errno.NetworkDown:
    case Errno.NetworkUnreachable:
      return "no way there: has the machine an address yet?";
    case Errno.NoBuffers:
    case Errno.NoMemory:
      return "the machine has no memory left for it";
    case Errno.NoDevice:
      return "no interface has that number, or leads there";
    case Errno.NotFound:
      return "there is none of that name";
    case Errno.NoSpace:
      return "the directory is full: raise its ram in skerry.toml";
    case Errno.NotConnected:
      return "there is no connection";
    case Errno.NotDirectory:
      return "it is no directory";
    case Errno.NotEmpty:
      return "the directory is not empty";
    case Errno.NotSupported:
      return "Skerry cannot do that";
    case Errno.NotPermitted:
    case Errno.NotCapable:
      return "not there for this guest: see files in skerry.toml";
    case Errno.Pipe:
      return "the stream has ended";
    case Errno.ReadOnly:
      return "files of the image cannot be written: use a directory in RAM";
    case Errno.TimedOut:
      return "no answer in time";
    default:
      return `error ${errno}`;
  }
}

/** What failed, and why. */
export class IoError {
  constructor(
    /** `Errno`. */
    readonly errno: i32,
    /** What was tried: "listen on port 80". */
    readonly what: string,
    /** What `errno` means here, if that is more than `errorText` says. */
    private readonly why: string = "",
  ) {}

  get message(): string {
    return this.what + ": " + (this.why.length ? this.why : errorText(this.errno));
  }
}

/** Nothing, as a `Result`. */
@final
export class Done {}

/** What a call made, or why it could not. */
export class Result<T> {
  private constructor(
    private readonly made: T | null,
    readonly error: IoError | null,
  ) {}

  static of<T>(value: T): Result<T> {
    return new Result<T>(value, null);
  }

  static fails<T>(errno: i32, what: string, why: string = ""): Result<T> {
    return new Result<T>(null, new IoError(errno, what, why));
  }

  get failed(): bool {
    return this.error !== null;
  }

  /** What was made. Where there is none, the program ends with a message. */
  get value(): T {
    const error = this.error;
    if (error !== null) {
      console.error(error.message);
      process.exit(1);
    }
    return this.made!;
  }
}
