/* Tx demultiplexing: says which queue each frame came through, and what that queue is for. */
#define HAVE_CREATE
#define HAVE_CREATED
#define HAVE_SENT
#include "surface.h"

static void Create(WDFDEVICE device, NETADAPTER_INIT *init)
{
    NET_ADAPTER_TX_DEMUX demux;
    UNREFERENCED_PARAMETER(device);
    NET_ADAPTER_TX_8021P_DEMUX_INIT(&demux, 4);
    CHECK(demux.Type == NetAdapterTxDemuxType8021p && demux.Range == 4);
    NetAdapterInitAddTxDemux(init, &demux);
}

static void Created(NETPACKETQUEUE handle, QUEUE *queue)
{
    if (queue->Tx)
        SAY("queue %u is number %u of its demux", queue->Id, NetTxQueueGetDemux8021p(handle));
}

static void Sent(QUEUE *queue, UINT32 index, FRAME *frame)
{
    UNREFERENCED_PARAMETER(index);
    UNREFERENCED_PARAMETER(frame);
    SAY("through queue %u", queue->Id);
}
