"""Engines: where fits run. An engine takes requests and reports events; `train` knows nothing else about it.

`in_process` runs one fit after the other in this process, `multiprocess` one in each of several processes of this
machine, `ray_engine` as many as a Ray cluster holds. `protocol` is the interface of all three, and `select` makes the
one that the command line asks for. Fits are independent and set their own seeds, so all engines give the same bytes on
the same CPU with the same threads.
"""
