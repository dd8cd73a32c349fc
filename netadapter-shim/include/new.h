/* Placement and nothrow new. */
#pragma GCC system_header
#ifdef __cplusplus
extern "C++" {
#include <new>
}
#endif
