#error "wificx.h: Wi-Fi is outside what umnet offers to clients: adapters are Ethernet"
