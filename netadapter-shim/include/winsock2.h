#error "winsock2.h: the socket interface is outside what umnet offers to clients"
