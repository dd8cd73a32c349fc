#error "wdfusb.h: USB is outside what umnet offers to clients"
