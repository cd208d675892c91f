"""The one database: tables, migrations, transactions, and every statement that runs on them."""
