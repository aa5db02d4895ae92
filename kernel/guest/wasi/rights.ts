/**
 * `rights` of WASI preview 1: what may be done with a descriptor of a file or directory, and with those
 * opened through it. Rights can be dropped and never gained. The names of what they allow are those of
 * its calls.
 */
export const enum Right {
  FdDatasync = 1 << 0,
  FdRead = 1 << 1,
  FdSeek = 1 << 2,
  FdFdstatSetFlags = 1 << 3,
  FdSync = 1 << 4,
  FdTell = 1 << 5,
  FdWrite = 1 << 6,
  FdAdvise = 1 << 7,
  FdAllocate = 1 << 8,
  PathCreateDirectory = 1 << 9,
  PathCreateFile = 1 << 10,
  PathLinkSource = 1 << 11,
  PathLinkTarget = 1 << 12,
  PathOpen = 1 << 13,
  FdReaddir = 1 << 14,
  PathReadlink = 1 << 15,
  PathRenameSource = 1 << 16,
  PathRenameTarget = 1 << 17,
  PathFilestatGet = 1 << 18,
  PathFilestatSetSize = 1 << 19,
  PathFilestatSetTimes = 1 << 20,
  FdFilestatGet = 1 << 21,
  FdFilestatSetSize = 1 << 22,
  FdFilestatSetTimes = 1 << 23,
  PathSymlink = 1 << 24,
  PathRemoveDirectory = 1 << 25,
  PathUnlinkFile = 1 << 26,
  PollFdReadwrite = 1 << 27,
  SockShutdown = 1 << 28,
  SockAccept = 1 << 29,
}

/** All that there are. */
export const RIGHTS_ALL: u32 = (1 << 30) - 1;

/** What means something for a file. */
export const RIGHTS_FILE: u32 =
  Right.FdDatasync |
  Right.FdRead |
  Right.FdSeek |
  Right.FdFdstatSetFlags |
  Right.FdSync |
  Right.FdTell |
  Right.FdWrite |
  Right.FdAdvise |
  Right.FdAllocate |
  Right.FdFilestatGet |
  Right.FdFilestatSetSize |
  Right.FdFilestatSetTimes |
  Right.PollFdReadwrite;

/** What would change a file's bytes. */
export const RIGHTS_CHANGE: u32 = Right.FdWrite | Right.FdAllocate | Right.FdFilestatSetSize;

/** What means something for a directory. */
export const RIGHTS_DIRECTORY: u32 =
  Right.FdDatasync |
  Right.FdFdstatSetFlags |
  Right.FdSync |
  Right.PathCreateDirectory |
  Right.PathCreateFile |
  Right.PathLinkSource |
  Right.PathLinkTarget |
  Right.PathOpen |
  Right.FdReaddir |
  Right.PathReadlink |
  Right.PathRenameSource |
  Right.PathRenameTarget |
  Right.PathFilestatGet |
  Right.PathFilestatSetSize |
  Right.PathFilestatSetTimes |
  Right.FdFilestatGet |
  Right.FdFilestatSetTimes |
  Right.PathSymlink |
  Right.PathRemoveDirectory |
  Right.PathUnlinkFile |
  Right.PollFdReadwrite;

/** Of the console, which is no file that one could seek in: that is how programs tell a terminal. */
export const RIGHTS_CONSOLE: u32 =
  Right.FdRead |
  Right.FdWrite |
  Right.FdFdstatSetFlags |
  Right.FdFilestatGet |
  Right.PollFdReadwrite;

/** Of a socket, and of what can be waited for. */
export const RIGHTS_SOCKET: u32 = RIGHTS_CONSOLE | Right.SockShutdown | Right.SockAccept;
