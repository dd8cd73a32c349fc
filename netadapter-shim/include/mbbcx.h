#error "mbbcx.h: mobile broadband is outside what umnet offers to clients: adapters are Ethernet"
