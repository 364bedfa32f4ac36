"""What models take and give: careers, occupations, who trains, questions about careers, predictions."""
