/*
 * A client that breaks one rule, chosen by its configuration.
 *
 * A fault is a name, a moment, and what is done then. The name is the failure
 * code that it raises, without its prefix; "/…" behind it tells several ways
 * to raise one code apart. A fault may act at several moments. At every moment
 * the client tells its SCENE to the faults; one that acts there replaces what
 * the client would do, or spoils what it is about to pass.
 */
#ifndef FAULTY_H
#define FAULTY_H

#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/virtualaddress.h>

typedef enum {
    AT_CONFIGURATION,           /* a configuration is open */
    AT_DATAPATH_CALLBACKS,      /* before NetAdapterInitSetDatapathCallbacks */
    AT_ADAPTER_INIT,            /* before NetAdapterCreate */
    AT_ADAPTER_CREATED,         /* before NetAdapterInitFree */
    AT_ADAPTER_FREED,           /* after it */
    AT_CAPABILITIES,            /* before NetAdapterSetDataPathCapabilities */
    AT_PREPARE,                 /* before NetAdapterStart */
    AT_LINK,                    /* instead of NetAdapterSetLinkState */
    AT_STARTED,                 /* after NetAdapterStart */
    AT_FILTER,                  /* in EvtSetReceiveFilter */
    AT_TX_CONFIG, AT_RX_CONFIG, /* before Net{Tx,Rx}QueueCreate */
    AT_TX_CREATED, AT_RX_CREATED,
    AT_TX_ADVANCE, AT_RX_ADVANCE,       /* instead of what Advance does; with packets only */
    AT_TX_CANCEL, AT_RX_CANCEL,         /* instead of what Cancel does */
    AT_D0_EXIT
} MOMENT;

typedef struct {
    WDFDEVICE Device;
    NETADAPTER Adapter;
    NETADAPTER_INIT *AdapterInit;
    NETCONFIGURATION Configuration;
    NET_ADAPTER_DATAPATH_CALLBACKS *Datapath;
    WDF_OBJECT_ATTRIBUTES *Attributes;
    NET_ADAPTER_TX_CAPABILITIES *Tx;
    NET_ADAPTER_RX_CAPABILITIES *Rx;
    NETRECEIVEFILTER Filter;
    NETTXQUEUE_INIT *TxInit;
    NETRXQUEUE_INIT *RxInit;
    NET_PACKET_QUEUE_CONFIG *Config;
    NETPACKETQUEUE Queue;
    NET_RING *Packets;
    NET_RING *Fragments;
    NET_EXTENSION *VirtualAddress;
    ULONG Turn;                 /* of this queue, from 0 */
    NTSTATUS Status;            /* what the callback returns */
} SCENE;

typedef struct {
    const char *Name;
    MOMENT At;
    void (*Break)(SCENE *scene);
} FAULT;

/* One list for each file, ended by an entry without a name. */
extern const FAULT CallFaults[];
extern const FAULT CapabilityFaults[];
extern const FAULT QueueFaults[];
extern const FAULT RingFaults[];
extern const FAULT PaceFaults[];

/* Tells the chosen fault of a moment; whether it acted. */
BOOLEAN BreakAt(MOMENT at, SCENE *scene);

/* The queues' callbacks, for faults that create queues. */
EVT_PACKET_QUEUE_ADVANCE TxAdvance;
EVT_PACKET_QUEUE_SET_NOTIFICATION_ENABLED SetNotificationEnabled;
EVT_PACKET_QUEUE_CANCEL TxCancel;

/* Whether a queue was armed since it was last asked. */
BOOLEAN WasArmed(void);

/* Receives packets of one fragment, 60 bytes each; the first one's element. */
NET_PACKET *Receive(SCENE *scene, UINT32 count);
NET_FRAGMENT *FragmentAt(SCENE *scene, UINT32 step);
PUCHAR BytesAt(SCENE *scene, UINT32 step);

#endif
