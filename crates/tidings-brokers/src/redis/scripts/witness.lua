-- Compares what a node has seen with what is there.

return {life, '', number(count)}
