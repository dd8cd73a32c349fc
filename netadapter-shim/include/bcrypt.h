#error "bcrypt.h: cryptography (CNG) is outside what umnet offers to clients"
