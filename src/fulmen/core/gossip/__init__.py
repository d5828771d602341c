"""What the network tells about itself, kept, judged, passed on, and what we tell about us. BOLT 7."""
