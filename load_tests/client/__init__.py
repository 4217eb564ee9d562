"""How a client asks the app: questions, forms and replies, traffic, and an app to start.

Load tests, the capacity planner, benchmarks and the tests on a cluster share it. It imports nothing
of ours; what the load test's image has is enough for all but `app_process`, which is not in it.
"""
