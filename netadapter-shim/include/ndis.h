#error "ndis.h: NDIS is outside what umnet offers to clients: use netadaptercx.h and ntddndis.h"
