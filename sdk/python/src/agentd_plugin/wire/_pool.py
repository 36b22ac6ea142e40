"""The pool that this package's messages live in.

Not protobuf's own: a process may hold the stubs of another revision of the same files, an author's
or another library's, and one pool takes a file of one name only once.
"""

from google.protobuf import descriptor_pool, duration_pb2, timestamp_pb2
from grpc_health.v1 import health_pb2

POOL = descriptor_pool.DescriptorPool()
# What our files import, and what is served beside them and told by reflection.
for _file in (duration_pb2, timestamp_pb2, health_pb2):
    POOL.AddSerializedFile(_file.DESCRIPTOR.serialized_pb)
