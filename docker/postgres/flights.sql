-- The source of the flights example: a database of its own beside Temporal's two.
CREATE ROLE flights LOGIN PASSWORD 'flights';
CREATE DATABASE flights OWNER flights;
