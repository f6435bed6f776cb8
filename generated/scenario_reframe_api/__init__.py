"""A client library for accessing Scenario Wan 2.2 Reframe"""
