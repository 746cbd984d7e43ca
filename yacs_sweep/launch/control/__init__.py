"""Gives orders to sweeps that run elsewhere: finds the sweep, writes the order down, waits for the launches' answers."""
