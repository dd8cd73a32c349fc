#error "wsk.h: Winsock Kernel is outside what umnet offers to clients"
