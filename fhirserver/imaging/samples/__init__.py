"""Small synthetic studies for demonstrations, of our own making: nobody's pictures."""
