#error "fwpsk.h: the Windows Filtering Platform is outside what umnet offers to clients"
