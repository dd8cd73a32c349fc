#error "wdfminiport.h: a WDF miniport driver is outside what umnet offers to clients"
