"""What every room stands on: values, units, names, faults, and the shape of a machine."""
