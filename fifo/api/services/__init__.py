"""The services, one module each: what a method does once the door has let it in."""
