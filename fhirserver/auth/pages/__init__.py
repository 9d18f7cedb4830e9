"""The pages that people see on their way in: one layout, one stylesheet, strict headers."""
