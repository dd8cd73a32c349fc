//! What goes through the rings beside plain frames.
