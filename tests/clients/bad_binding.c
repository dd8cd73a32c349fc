/*
 * A library that says it is a client, and whose bind structure is wrong in
 * one way: -DSIZE, -DFUNCTION, -DCOUNT, -DMINOR or -DNO_TABLE.
 */
#ifndef SIZE
#define SIZE sizeof(struct binding)
#endif
#ifndef FUNCTION
#define FUNCTION "NetAdapterStart"
#endif
#ifndef COUNT
#define COUNT 1
#endif
#ifndef MAJOR
#define MAJOR 2
#endif
#ifndef MINOR
#define MINOR 5
#endif

struct binding {
    unsigned size, revision, major, minor, minimum, umdf_major, umdf_minor, count;
    const char *const *names;
    void **functions;
    void *globals;
};

static const char *names[1] = { FUNCTION };
void *functions[1];

__attribute__((visibility("default"))) struct binding UmnetClient = {
    SIZE, 1, MAJOR, MINOR, MINOR, 2, 33, COUNT, names,
#ifdef NO_TABLE
    0,
#else
    functions,
#endif
    0
};

__attribute__((visibility("default"))) int DriverEntry(void *object, void *path)
{
    (void)object;
    (void)path;
    return 0;
}
