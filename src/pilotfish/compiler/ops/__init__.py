"""Operators: one file each (or a family that is one idea), found by discovery.

``_template.py`` shows the form. :mod:`.registry` finds them, :mod:`.lowering` is what they lower with.
"""
