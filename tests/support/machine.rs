//! A picture of a machine in a temporary folder: sysfs, /proc and /dev as umnet reads them.
