//! A Docker Swarm that is not there: the Engine API, a classic master's `/info`, exporters, each
//! with faults on demand. Written against what real Swarms answered.
