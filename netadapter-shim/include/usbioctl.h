#error "usbioctl.h: USB is outside what umnet offers to clients"
