//! Raw configuration to checked configuration; every environment variable is one documented constant.
