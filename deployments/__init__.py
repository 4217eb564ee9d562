"""The five stages of an answer, one Ray Serve deployment and one module each.

Every deployment is a plain class that imports no Ray: `serve.app` binds them, so a
class is tested as a class. They never import one another; what one hands to the next
is in `deployments.messages`.
"""
