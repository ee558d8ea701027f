"""What tests share: AWS on loopback, tables, small builders."""
