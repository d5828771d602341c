"""Money in and out for ourselves: invoices that are paid, payments that are sent."""
