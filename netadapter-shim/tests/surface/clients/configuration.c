/* Configuration: reads every kind of value, and writes them back. */
#define HAVE_STATE
#include "surface.h"

static NETCONFIGURATION Open;

static UNICODE_STRING Text(PCWSTR text)
{
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, text);
    return string;
}

static void Number(PCWSTR name, NET_CONFIGURATION_QUERY_ULONG_FLAGS flags, NTSTATUS expected, ULONG value)
{
    UNICODE_STRING key = Text(name);
    ULONG found = 0xabad1dea;
    NTSTATUS status = NetConfigurationQueryUlong(Open, flags, &key, &found);
    CHECK(status == expected);
    CHECK(!NT_SUCCESS(expected) || found == value);
}

static void Numbers(void)
{
    Number(L"Rings", NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, STATUS_SUCCESS, 64);
    Number(L"rINGS", NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, STATUS_SUCCESS, 64);
    Number(L"Decimal", NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, STATUS_SUCCESS, 12);
    Number(L"Decimal", NET_CONFIGURATION_QUERY_ULONG_MAY_BE_STORED_AS_HEX_STRING, STATUS_SUCCESS, 18);
    Number(L"Nothing", NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, STATUS_OBJECT_NAME_NOT_FOUND, 0);
    Number(L"Bytes", NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, STATUS_OBJECT_TYPE_MISMATCH, 0);
}

static void Strings(void)
{
    UNICODE_STRING key = Text(L"Decimal"), found, expected = Text(L"12");
    WDFSTRING string;
    CHECK(NetConfigurationQueryString(Open, &key, WDF_NO_OBJECT_ATTRIBUTES, &string) == STATUS_SUCCESS);
    WdfStringGetUnicodeString(string, &found);
    CHECK(RtlEqualUnicodeString(&found, &expected, FALSE));
    key = Text(L"Nothing");
    CHECK(NetConfigurationQueryString(Open, &key, WDF_NO_OBJECT_ATTRIBUTES, &string) == STATUS_OBJECT_NAME_NOT_FOUND);
}

static void Lists(void)
{
    UNICODE_STRING key = Text(L"Names"), copy = Text(L"Copy"), found, expected = Text(L"second");
    WDFCOLLECTION list, again;
    CHECK(WdfCollectionCreate(WDF_NO_OBJECT_ATTRIBUTES, &list) == STATUS_SUCCESS);
    CHECK(WdfCollectionCreate(WDF_NO_OBJECT_ATTRIBUTES, &again) == STATUS_SUCCESS);
    CHECK(NetConfigurationQueryMultiString(Open, &key, WDF_NO_OBJECT_ATTRIBUTES, list) == STATUS_SUCCESS);
    CHECK(WdfCollectionGetCount(list) == 2);
    WdfStringGetUnicodeString((WDFSTRING)WdfCollectionGetItem(list, 1), &found);
    CHECK(RtlEqualUnicodeString(&found, &expected, FALSE));
    CHECK(NetConfigurationAssignMultiString(Open, &copy, list) == STATUS_SUCCESS);
    CHECK(NetConfigurationQueryMultiString(Open, &copy, WDF_NO_OBJECT_ATTRIBUTES, again) == STATUS_SUCCESS);
    CHECK(WdfCollectionGetCount(again) == 2);
    WdfObjectDelete(again);
    WdfObjectDelete(list);
}

static void Bytes(void)
{
    UNICODE_STRING key = Text(L"Bytes"), number = Text(L"Rings"), written = Text(L"Written");
    UCHAR three[3] = { 9, 8, 7 };
    WDFMEMORY memory;
    size_t size = 0;
    CHECK(NetConfigurationQueryBinary(Open, &key, NonPagedPoolNx, WDF_NO_OBJECT_ATTRIBUTES, &memory) == STATUS_SUCCESS);
    UCHAR const *bytes = (UCHAR const *)WdfMemoryGetBuffer(memory, &size);
    CHECK(size == 2 && bytes[0] == 1 && bytes[1] == 0xff);
    CHECK(NetConfigurationQueryBinary(Open, &number, NonPagedPoolNx, WDF_NO_OBJECT_ATTRIBUTES, &memory) == STATUS_NOT_FOUND);
    CHECK(NetConfigurationAssignBinary(Open, &written, three, sizeof(three)) == STATUS_SUCCESS);
    CHECK(NetConfigurationQueryBinary(Open, &written, NonPagedPoolNx, WDF_NO_OBJECT_ATTRIBUTES, &memory) == STATUS_SUCCESS);
    bytes = (UCHAR const *)WdfMemoryGetBuffer(memory, &size);
    CHECK(size == 3 && bytes[2] == 7);
}

static void Assigned(void)
{
    UNICODE_STRING number = Text(L"Given"), string = Text(L"Told"), value = Text(L"3141");
    CHECK(NetConfigurationAssignUlong(Open, &number, 27) == STATUS_SUCCESS);
    Number(L"Given", NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, STATUS_SUCCESS, 27);
    CHECK(NetConfigurationAssignUnicodeString(Open, &string, &value) == STATUS_SUCCESS);
    Number(L"Told", NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, STATUS_SUCCESS, 3141);
}

static void Inside(void)
{
    UNICODE_STRING inner = Text(L"Inner"), nothing = Text(L"Nothing");
    NETCONFIGURATION outside = Open, none = NULL;
    CHECK(NetConfigurationOpenSubConfiguration(outside, &inner, WDF_NO_OBJECT_ATTRIBUTES, &Open) == STATUS_SUCCESS);
    Number(L"Depth", NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, STATUS_SUCCESS, 2);
    NetConfigurationClose(Open);
    Open = outside;
    CHECK(NetConfigurationOpenSubConfiguration(Open, &nothing, WDF_NO_OBJECT_ATTRIBUTES, &none) == STATUS_OBJECT_NAME_NOT_FOUND && !none);
}

static void All(PCSTR of)
{
    NET_ADAPTER_LINK_LAYER_ADDRESS address;
    Numbers();
    Strings();
    Lists();
    Bytes();
    Assigned();
    Inside();
    CHECK(NetConfigurationQueryLinkLayerAddress(Open, &address) == STATUS_SUCCESS);
    CHECK(address.Length == 6 && address.Address[0] == 2 && address.Address[5] == 9);
    NetConfigurationClose(Open);
    SAY("%s read", of);
}

static void State(WDFDEVICE device, NETADAPTER adapter)
{
    CHECK(NetDeviceOpenConfiguration(device, WDF_NO_OBJECT_ATTRIBUTES, &Open) == STATUS_SUCCESS);
    All("device");
    CHECK(NetAdapterOpenConfiguration(adapter, WDF_NO_OBJECT_ATTRIBUTES, &Open) == STATUS_SUCCESS);
    All("adapter");
}
