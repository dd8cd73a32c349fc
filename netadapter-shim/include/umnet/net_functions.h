/*
 * Every NetAdapterCx function a client can call, once: X(result, name,
 * parameters, arguments). The names travel to the host with the client
 * (bind.h); netadaptercx.h makes a wrapper of each line.
 *
 * The order is part of nothing: the host binds by name.
 */
#ifndef UMNET_NET_FUNCTIONS_H
#define UMNET_NET_FUNCTIONS_H

#define UMNET_NET_FUNCTIONS(X) \
    UMNET_NET_ADAPTER_FUNCTIONS(X) \
    UMNET_NET_LINK_FUNCTIONS(X) \
    UMNET_NET_QUEUE_FUNCTIONS(X) \
    UMNET_NET_OFFLOAD_FUNCTIONS(X) \
    UMNET_NET_POWER_FUNCTIONS(X) \
    UMNET_NET_CONFIGURATION_FUNCTIONS(X)

#define UMNET_NET_ADAPTER_FUNCTIONS(X) \
    X(NTSTATUS, NetDeviceInitConfig, (PWDFDEVICE_INIT DeviceInit), (DeviceInit)) \
    X(NTSTATUS, NetDeviceOpenConfiguration, (WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES Attributes, NETCONFIGURATION *Configuration), (Device, Attributes, Configuration)) \
    X(NETADAPTER_INIT *, NetAdapterInitAllocate, (WDFDEVICE Device), (Device)) \
    X(VOID, NetAdapterInitFree, (NETADAPTER_INIT *AdapterInit), (AdapterInit)) \
    X(VOID, NetAdapterInitSetDatapathCallbacks, (NETADAPTER_INIT *AdapterInit, NET_ADAPTER_DATAPATH_CALLBACKS const *DatapathCallbacks), (AdapterInit, DatapathCallbacks)) \
    X(VOID, NetAdapterInitAddTxDemux, (NETADAPTER_INIT *AdapterInit, NET_ADAPTER_TX_DEMUX const *Demux), (AdapterInit, Demux)) \
    X(NTSTATUS, NetAdapterCreate, (NETADAPTER_INIT *AdapterInit, PWDF_OBJECT_ATTRIBUTES Attributes, NETADAPTER *Adapter), (AdapterInit, Attributes, Adapter)) \
    X(NTSTATUS, NetAdapterStart, (NETADAPTER Adapter), (Adapter)) \
    X(VOID, NetAdapterStop, (NETADAPTER Adapter), (Adapter)) \
    X(NET_LUID, NetAdapterGetNetLuid, (NETADAPTER Adapter), (Adapter)) \
    X(NTSTATUS, NetAdapterOpenConfiguration, (NETADAPTER Adapter, PWDF_OBJECT_ATTRIBUTES Attributes, NETCONFIGURATION *Configuration), (Adapter, Attributes, Configuration))

#define UMNET_NET_LINK_FUNCTIONS(X) \
    X(VOID, NetAdapterSetLinkLayerCapabilities, (NETADAPTER Adapter, NET_ADAPTER_LINK_LAYER_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterSetLinkLayerMtuSize, (NETADAPTER Adapter, ULONG MtuSize), (Adapter, MtuSize)) \
    X(VOID, NetAdapterSetPermanentLinkLayerAddress, (NETADAPTER Adapter, NET_ADAPTER_LINK_LAYER_ADDRESS const *LinkLayerAddress), (Adapter, LinkLayerAddress)) \
    X(VOID, NetAdapterSetCurrentLinkLayerAddress, (NETADAPTER Adapter, NET_ADAPTER_LINK_LAYER_ADDRESS const *LinkLayerAddress), (Adapter, LinkLayerAddress)) \
    X(VOID, NetAdapterSetLinkState, (NETADAPTER Adapter, NET_ADAPTER_LINK_STATE const *LinkState), (Adapter, LinkState)) \
    X(VOID, NetAdapterSetReceiveFilterCapabilities, (NETADAPTER Adapter, NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(NET_PACKET_FILTER_FLAGS, NetReceiveFilterGetPacketFilter, (NETRECEIVEFILTER ReceiveFilter), (ReceiveFilter)) \
    X(SIZE_T, NetReceiveFilterGetMulticastAddressCount, (NETRECEIVEFILTER ReceiveFilter), (ReceiveFilter)) \
    X(NET_ADAPTER_LINK_LAYER_ADDRESS const *, NetReceiveFilterGetMulticastAddressList, (NETRECEIVEFILTER ReceiveFilter), (ReceiveFilter))

#define UMNET_NET_QUEUE_FUNCTIONS(X) \
    X(VOID, NetAdapterSetDataPathCapabilities, (NETADAPTER Adapter, NET_ADAPTER_TX_CAPABILITIES const *TxCapabilities, NET_ADAPTER_RX_CAPABILITIES const *RxCapabilities), (Adapter, TxCapabilities, RxCapabilities)) \
    X(VOID, NetAdapterSetReceiveScalingCapabilities, (NETADAPTER Adapter, NET_ADAPTER_RECEIVE_SCALING_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(NTSTATUS, NetTxQueueCreate, (NETTXQUEUE_INIT *TxQueueInit, PWDF_OBJECT_ATTRIBUTES TxQueueAttributes, NET_PACKET_QUEUE_CONFIG const *Configuration, NETPACKETQUEUE *PacketQueue), (TxQueueInit, TxQueueAttributes, Configuration, PacketQueue)) \
    X(NTSTATUS, NetRxQueueCreate, (NETRXQUEUE_INIT *RxQueueInit, PWDF_OBJECT_ATTRIBUTES RxQueueAttributes, NET_PACKET_QUEUE_CONFIG const *Configuration, NETPACKETQUEUE *PacketQueue), (RxQueueInit, RxQueueAttributes, Configuration, PacketQueue)) \
    X(ULONG, NetTxQueueInitGetQueueId, (NETTXQUEUE_INIT *TxQueueInit), (TxQueueInit)) \
    X(ULONG, NetRxQueueInitGetQueueId, (NETRXQUEUE_INIT *RxQueueInit), (RxQueueInit)) \
    X(NET_RING_COLLECTION const *, NetTxQueueGetRingCollection, (NETPACKETQUEUE PacketQueue), (PacketQueue)) \
    X(NET_RING_COLLECTION const *, NetRxQueueGetRingCollection, (NETPACKETQUEUE PacketQueue), (PacketQueue)) \
    X(VOID, NetTxQueueGetExtension, (NETPACKETQUEUE PacketQueue, NET_EXTENSION_QUERY const *Query, NET_EXTENSION *Extension), (PacketQueue, Query, Extension)) \
    X(VOID, NetRxQueueGetExtension, (NETPACKETQUEUE PacketQueue, NET_EXTENSION_QUERY const *Query, NET_EXTENSION *Extension), (PacketQueue, Query, Extension)) \
    X(VOID, NetTxQueueNotifyMoreCompletedPacketsAvailable, (NETPACKETQUEUE PacketQueue), (PacketQueue)) \
    X(VOID, NetRxQueueNotifyMoreReceivedPacketsAvailable, (NETPACKETQUEUE PacketQueue), (PacketQueue)) \
    X(UINT8, NetTxQueueGetDemux8021p, (NETPACKETQUEUE PacketQueue), (PacketQueue)) \
    X(UINT8, NetTxQueueGetDemuxWmmInfo, (NETPACKETQUEUE PacketQueue), (PacketQueue)) \
    X(NET_EUI48_ADDRESS, NetTxQueueGetDemuxPeerAddress, (NETPACKETQUEUE PacketQueue), (PacketQueue))

#define UMNET_NET_OFFLOAD_FUNCTIONS(X) \
    X(VOID, NetAdapterOffloadSetTxChecksumCapabilities, (NETADAPTER Adapter, NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterOffloadSetRxChecksumCapabilities, (NETADAPTER Adapter, NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterOffloadSetGsoCapabilities, (NETADAPTER Adapter, NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterOffloadSetRscCapabilities, (NETADAPTER Adapter, NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterOffloadSetIeee8021qTagCapabilities, (NETADAPTER Adapter, NET_ADAPTER_OFFLOAD_IEEE8021Q_TAG_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterOffloadSetChecksumCapabilities, (NETADAPTER Adapter, NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterPauseOffloadCapabilities, (NETADAPTER Adapter), (Adapter)) \
    X(VOID, NetAdapterResumeOffloadCapabilities, (NETADAPTER Adapter), (Adapter)) \
    X(BOOLEAN, NetOffloadIsChecksumIPv4Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsChecksumTcpEnabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsChecksumUdpEnabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsTxChecksumIPv4Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsTxChecksumTcpEnabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsTxChecksumUdpEnabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsRxChecksumIPv4Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsRxChecksumTcpEnabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsRxChecksumUdpEnabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsLsoIPv4Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsLsoIPv6Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsUsoIPv4Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsUsoIPv6Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsTcpRscIPv4Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsTcpRscIPv6Enabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsRscTcpTimestampOptionEnabled, (NETOFFLOAD Offload), (Offload)) \
    X(BOOLEAN, NetOffloadIsUdpRscEnabled, (NETOFFLOAD Offload), (Offload))

#define UMNET_NET_POWER_FUNCTIONS(X) \
    X(VOID, NetDeviceInitSetPowerPolicyEventCallbacks, (PWDFDEVICE_INIT DeviceInit, NET_DEVICE_POWER_POLICY_EVENT_CALLBACKS const *Callbacks), (DeviceInit, Callbacks)) \
    X(VOID, NetDeviceInitSetResetCapabilities, (PWDFDEVICE_INIT DeviceInit, NET_DEVICE_RESET_CAPABILITIES const *ResetCapabilities), (DeviceInit, ResetCapabilities)) \
    X(VOID, NetDeviceRequestReset, (WDFDEVICE Device), (Device)) \
    X(NTSTATUS, NetDeviceStoreResetDiagnostics, (WDFDEVICE Device, SIZE_T ResetDiagnosticsSize, UINT8 const *ResetDiagnosticsBuffer), (Device, ResetDiagnosticsSize, ResetDiagnosticsBuffer)) \
    X(VOID, NetAdapterPowerOffloadSetArpCapabilities, (NETADAPTER Adapter, NET_ADAPTER_POWER_OFFLOAD_ARP_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterPowerOffloadSetNSCapabilities, (NETADAPTER Adapter, NET_ADAPTER_POWER_OFFLOAD_NS_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterWakeSetBitmapCapabilities, (NETADAPTER Adapter, NET_ADAPTER_WAKE_BITMAP_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterWakeSetMediaChangeCapabilities, (NETADAPTER Adapter, NET_ADAPTER_WAKE_MEDIA_CHANGE_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterWakeSetMagicPacketCapabilities, (NETADAPTER Adapter, NET_ADAPTER_WAKE_MAGIC_PACKET_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterWakeSetEapolPacketCapabilities, (NETADAPTER Adapter, NET_ADAPTER_WAKE_EAPOL_PACKET_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetAdapterWakeSetPacketFilterCapabilities, (NETADAPTER Adapter, NET_ADAPTER_WAKE_PACKET_FILTER_CAPABILITIES const *Capabilities), (Adapter, Capabilities)) \
    X(VOID, NetDeviceGetPowerOffloadList, (WDFDEVICE Device, NET_POWER_OFFLOAD_LIST *PowerOffloadList), (Device, PowerOffloadList)) \
    X(SIZE_T, NetPowerOffloadListGetCount, (NET_POWER_OFFLOAD_LIST const *PowerOffloadList), (PowerOffloadList)) \
    X(NETPOWEROFFLOAD, NetPowerOffloadListGetElement, (NET_POWER_OFFLOAD_LIST const *PowerOffloadList, SIZE_T Index), (PowerOffloadList, Index)) \
    X(NET_POWER_OFFLOAD_TYPE, NetPowerOffloadGetType, (NETPOWEROFFLOAD PowerOffload), (PowerOffload)) \
    X(NETADAPTER, NetPowerOffloadGetAdapter, (NETPOWEROFFLOAD PowerOffload), (PowerOffload)) \
    X(VOID, NetPowerOffloadGetArpParameters, (NETPOWEROFFLOAD PowerOffload, NET_POWER_OFFLOAD_ARP_PARAMETERS *Parameters), (PowerOffload, Parameters)) \
    X(VOID, NetPowerOffloadGetNSParameters, (NETPOWEROFFLOAD PowerOffload, NET_POWER_OFFLOAD_NS_PARAMETERS *Parameters), (PowerOffload, Parameters)) \
    X(VOID, NetDeviceGetWakeSourceList, (WDFDEVICE Device, NET_WAKE_SOURCE_LIST *WakeSourceList), (Device, WakeSourceList)) \
    X(SIZE_T, NetWakeSourceListGetCount, (NET_WAKE_SOURCE_LIST const *WakeSourceList), (WakeSourceList)) \
    X(NETWAKESOURCE, NetWakeSourceListGetElement, (NET_WAKE_SOURCE_LIST const *WakeSourceList, SIZE_T Index), (WakeSourceList, Index)) \
    X(NET_WAKE_SOURCE_TYPE, NetWakeSourceGetType, (NETWAKESOURCE WakeSource), (WakeSource)) \
    X(NETADAPTER, NetWakeSourceGetAdapter, (NETWAKESOURCE WakeSource), (WakeSource)) \
    X(VOID, NetWakeSourceGetBitmapParameters, (NETWAKESOURCE WakeSource, NET_WAKE_SOURCE_BITMAP_PARAMETERS *Parameters), (WakeSource, Parameters)) \
    X(VOID, NetWakeSourceGetMediaChangeParameters, (NETWAKESOURCE WakeSource, NET_WAKE_SOURCE_MEDIA_CHANGE_PARAMETERS *Parameters), (WakeSource, Parameters)) \
    X(VOID, NetAdapterReportWakeReasonPacket, (NETADAPTER Adapter, NET_ADAPTER_WAKE_REASON_PACKET const *Reason), (Adapter, Reason)) \
    X(VOID, NetAdapterReportWakeReasonMediaChange, (NETADAPTER Adapter, NET_IF_MEDIA_CONNECT_STATE Reason), (Adapter, Reason))

#define UMNET_NET_CONFIGURATION_FUNCTIONS(X) \
    X(VOID, NetConfigurationClose, (NETCONFIGURATION Configuration), (Configuration)) \
    X(NTSTATUS, NetConfigurationOpenSubConfiguration, (NETCONFIGURATION Configuration, PCUNICODE_STRING SubConfigurationName, PWDF_OBJECT_ATTRIBUTES Attributes, NETCONFIGURATION *SubConfiguration), (Configuration, SubConfigurationName, Attributes, SubConfiguration)) \
    X(NTSTATUS, NetConfigurationQueryUlong, (NETCONFIGURATION Configuration, NET_CONFIGURATION_QUERY_ULONG_FLAGS Flags, PCUNICODE_STRING ValueName, PULONG Value), (Configuration, Flags, ValueName, Value)) \
    X(NTSTATUS, NetConfigurationQueryString, (NETCONFIGURATION Configuration, PCUNICODE_STRING ValueName, PWDF_OBJECT_ATTRIBUTES StringAttributes, WDFSTRING *WdfString), (Configuration, ValueName, StringAttributes, WdfString)) \
    X(NTSTATUS, NetConfigurationQueryMultiString, (NETCONFIGURATION Configuration, PCUNICODE_STRING ValueName, PWDF_OBJECT_ATTRIBUTES StringsAttributes, WDFCOLLECTION Collection), (Configuration, ValueName, StringsAttributes, Collection)) \
    X(NTSTATUS, NetConfigurationQueryBinary, (NETCONFIGURATION Configuration, PCUNICODE_STRING ValueName, POOL_TYPE PoolType, PWDF_OBJECT_ATTRIBUTES MemoryAttributes, WDFMEMORY *WdfMemory), (Configuration, ValueName, PoolType, MemoryAttributes, WdfMemory)) \
    X(NTSTATUS, NetConfigurationQueryLinkLayerAddress, (NETCONFIGURATION Configuration, NET_ADAPTER_LINK_LAYER_ADDRESS *LinkLayerAddress), (Configuration, LinkLayerAddress)) \
    X(NTSTATUS, NetConfigurationAssignUlong, (NETCONFIGURATION Configuration, PCUNICODE_STRING ValueName, ULONG Value), (Configuration, ValueName, Value)) \
    X(NTSTATUS, NetConfigurationAssignUnicodeString, (NETCONFIGURATION Configuration, PCUNICODE_STRING ValueName, PCUNICODE_STRING Value), (Configuration, ValueName, Value)) \
    X(NTSTATUS, NetConfigurationAssignMultiString, (NETCONFIGURATION Configuration, PCUNICODE_STRING ValueName, WDFCOLLECTION Collection), (Configuration, ValueName, Collection)) \
    X(NTSTATUS, NetConfigurationAssignBinary, (NETCONFIGURATION Configuration, PCUNICODE_STRING ValueName, PVOID Buffer, ULONG BufferLength), (Configuration, ValueName, Buffer, BufferLength))

#endif
