"""What is asked for: typed models, YAML loading with line numbers, and the plan."""
