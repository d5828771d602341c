"""Requests for payment: BOLT 11 invoices."""
