#error "acpiioct.h: ACPI is outside what umnet offers to clients"
