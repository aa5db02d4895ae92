/**
 * WebAssembly as Debian's clang makes it has no way back up its stack: setjmp only ever returns at once, and
 * a program that jumps ends with a line on the console. Many programs jump on signals alone, of which there
 * are none.
 */
#ifndef SKERRY_SETJMP_H
#define SKERRY_SETJMP_H

#ifdef __cplusplus
extern "C" {
#endif

typedef int jmp_buf[1];
typedef jmp_buf sigjmp_buf;

#define setjmp(at) ((void)(at), 0)
#define sigsetjmp(at, mask) ((void)(at), (void)(mask), 0)
#define _setjmp(at) setjmp(at)

_Noreturn void longjmp(jmp_buf at, int value);
_Noreturn void siglongjmp(sigjmp_buf at, int value);
_Noreturn void _longjmp(jmp_buf at, int value);

#ifdef __cplusplus
}
#endif

#endif
