/*
 * Words of the kernel's and of Windows' own that client drivers use and that
 * need no host, in C and in C++. Each must mean here what it means there.
 */
#include <ntddk.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <netiodef.h>
#include <ntddndis.h>
#include <ndisguid.h>
#include <winmeta.h>
#include <wdfcore.h>

#include <stdio.h>

static_assert(sizeof(ETHERNET_HEADER) == 14, "an Ethernet header");
static_assert(sizeof(IPV4_HEADER) == 20, "an IPv4 header");
static_assert(sizeof(IPV6_HEADER) == 40, "an IPv6 header");
static_assert(sizeof(IPV6_FRAGMENT_HEADER) == 8, "a fragment header");
static_assert(sizeof(TCP_HDR) == 20, "a TCP header");
static_assert(sizeof(UDP_HDR) == 8, "a UDP header");
static_assert(sizeof(NDIS_STATISTICS_INFO) == 152, "counters");
static_assert(sizeof(WDF_MEMORY_DESCRIPTOR) == 24, "a memory descriptor");
static_assert(sizeof(WDF_COMMON_BUFFER_CONFIG) == 8, "a common buffer's configuration");
static_assert(NT_ERROR(STATUS_BAD_DATA) && STATUS_BAD_DATA == (NTSTATUS)0xC000090B, "an error");
static_assert(NT_WARNING(STATUS_MEDIA_CHECK), "a warning");
static_assert(STATUS_WDF_QUEUED == 0x40200000 && NT_INFORMATION(STATUS_WDF_QUEUED), "information");

static int failures;

static void expect(int truth, const char *what)
{
    if (!truth) {
        printf("wrong: %s\n", what);
        failures++;
    }
}

static EVT_WDF_DEVICE_CONTEXT_CLEANUP cleanup;
static VOID cleanup(WDFOBJECT object) { (void)object; }

static void headers(void)
{
    static const UINT8 packet[] = {
        0x45, 0xb8, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        0x1f, 0x90, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 1, 0, 0, 0, 0, 0};
    const IPV4_HEADER *ip = (const IPV4_HEADER *)packet;
    const TCP_HDR *tcp = (const TCP_HDR *)(packet + ip->HeaderLength * 4);
    expect(ip->Version == IPV4_VERSION && ip->HeaderLength == 5, "version and length");
    expect(ip->TypeOfService == 0x2e && ip->EcnField == 0, "type of service");
    expect(ip->DontFragment == 1 && ip->MoreFragments == 0, "fragment flags");
    expect(ip->Protocol == IPPROTO_TCP && ip->DestinationAddress.S_un.S_un_b.s_b4 == 2, "addresses");
    expect(RtlUshortByteSwap(ip->TotalLength) == 40, "length");
    expect(tcp->th_len == 5 && tcp->th_flags == (TH_SYN | TH_ACK), "TCP");
    expect(RtlUshortByteSwap(tcp->th_dport) == 80, "ports");
}

static void memory_lists(void)
{
    static UCHAR buffer[3 * PAGE_SIZE];
    union { MDL mdl; UCHAR room[sizeof(MDL) + 4 * sizeof(PFN_NUMBER)]; } list;
    MDL *mdl = &list.mdl;
    PUCHAR start = buffer + 100;
    MmInitializeMdl(mdl, start, PAGE_SIZE);
    expect(MmGetMdlByteCount(mdl) == PAGE_SIZE, "bytes of a list");
    expect(MmGetMdlVirtualAddress(mdl) == (PVOID)start, "address of a list");
    expect(MmGetMdlByteOffset(mdl) == ((ULONG_PTR)start & (PAGE_SIZE - 1)), "offset of a list");
    MmBuildMdlForNonPagedPool(mdl);
    expect(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) == (PVOID)start, "mapping");
    expect(MmGetMdlPfnArray(mdl)[0] == 0, "no page numbers");
}

static void registers(void)
{
    volatile ULONG place = 7;
    WRITE_REGISTER_ULONG(&place, 0x12345678);
    expect(READ_REGISTER_ULONG(&place) == 0x12345678, "a register");
    WRITE_REGISTER_NOFENCE_ULONG(&place, 1);
    expect(READ_REGISTER_NOFENCE_ULONG(&place) == 1, "a register without fences");
}

int main(void)
{
    EVT_WDF_DEVICE_CONTEXT_CLEANUP *called = cleanup;
    ULONG small = 3;
    SIZE_T large = 5;
    WDF_MEMORY_DESCRIPTOR descriptor;
    headers();
    memory_lists();
    registers();
    called(NULL);
    expect(min(small, large) == 3 && max(small, large) == 5, "min and max");
    WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&descriptor, &small, sizeof(small));
    expect(descriptor.Type == WdfMemoryDescriptorTypeBuffer, "a descriptor's type");
    expect(descriptor.u.BufferType.Length == 4, "a descriptor's length");
    expect(NDIS_PACKET_TYPE_PROMISCUOUS == (ULONG)NetPacketFilterFlagPromiscuous, "filter flags");
    expect(ETH_LENGTH_OF_ADDRESS == 6 && WINEVENT_LEVEL_VERBOSE == 5, "small numbers");
    return failures;
}
